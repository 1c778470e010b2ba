package backend

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	idHeader  = "X-Load-Id"
	sumHeader = "X-Load-Crc32"
	// maxOrder bounds the body of an order, maxUpload that of an upload, maxBody the answer to GET /.
	maxOrder  = 8 << 20
	maxUpload = 1 << 30
	maxBody   = 16 << 20
	// streamChunks is how many pieces a stream comes in.
	streamChunks = 50
)

// Handler returns the backend's pages.
func (b *Backend) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", b.work(b.index))
	mux.HandleFunc("POST /orders", b.work(b.order))
	mux.HandleFunc("POST /upload", b.upload)
	mux.HandleFunc("GET /stream", b.stream)
	mux.HandleFunc("GET /ws", b.webSocket)
	mux.HandleFunc("GET /readyz", b.readyz)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "alive\n") })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Server", b.config.Server)
		header.Set("X-Release", b.config.Release)
		if id := r.Header.Get(idHeader); id != "" {
			header.Set(idHeader, id)
		}
		if b.leaving.Load() {
			header.Set("Connection", "close")
		}
		mux.ServeHTTP(w, r)
	})
}

// work wraps a page that takes part in the errors; the share is spread evenly, so that a test can count on it.
func (b *Backend) work(page http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n := float64(b.worked.Add(1))
		if share := b.config.ErrorShare; int64(n*share) != int64((n-1)*share) {
			_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxOrder))
			b.log.ErrorContext(r.Context(), "request fails as configured", "path", r.URL.Path)
			http.Error(w, "error as configured", http.StatusInternalServerError)
			return
		}
		page(w, r)
	}
}

// pause is the time a request is worked on.
func (b *Backend) pause() {
	if b.config.Service > 0 {
		<-after(b.config.Service)
	}
}

// index answers GET /.
func (b *Backend) index(w http.ResponseWriter, r *http.Request) {
	size := b.config.BodyBytes
	if text := r.URL.Query().Get("bytes"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > maxBody {
			http.Error(w, "bytes: want a number up to "+strconv.Itoa(maxBody), http.StatusBadRequest)
			return
		}
		size = n
	}
	b.pause()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(size))
	sum := crc32.NewIEEE()
	b.fill(sum, size)
	w.Header().Set(sumHeader, strconv.FormatUint(uint64(sum.Sum32()), 16))
	b.fill(w, size)
}

// fill writes n bytes of filler.
func (b *Backend) fill(w io.Writer, n int) {
	for n > 0 {
		written, err := w.Write(b.filler[:min(n, len(b.filler))])
		if err != nil {
			return
		}
		n -= written
	}
}

// order answers POST /orders.
func (b *Backend) order(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(idHeader)
	if id == "" || len(id) > 128 || strings.ContainsAny(id, " \t") {
		http.Error(w, "want an id in the "+idHeader+" header", http.StatusBadRequest)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
	if err != nil {
		http.Error(w, "read order: "+err.Error(), http.StatusBadRequest)
		return
	}
	sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 16)
	if want := r.Header.Get(sumHeader); want != "" && want != sum {
		http.Error(w, "body has another checksum than its header says", http.StatusUnprocessableEntity)
		return
	}
	if err := b.ledger.apply(id, time.Now()); err != nil {
		b.log.ErrorContext(r.Context(), "order is lost", "error", err)
		http.Error(w, "keep order: "+err.Error(), http.StatusInternalServerError)
		return
	}
	b.pause()
	answerJSON(w, http.StatusCreated, fmt.Sprintf(`{"id":%q,"bytes":%d}`+"\n", id, len(body)))
}

// upload answers POST /upload.
func (b *Backend) upload(w http.ResponseWriter, r *http.Request) {
	sum := crc32.NewIEEE()
	n, err := io.Copy(sum, http.MaxBytesReader(w, r.Body, maxUpload))
	if err != nil {
		http.Error(w, fmt.Sprintf("read upload after %d bytes: %v", n, err), http.StatusBadRequest)
		return
	}
	got := strconv.FormatUint(uint64(sum.Sum32()), 16)
	if want := r.Header.Get(sumHeader); want != "" && want != got {
		http.Error(w, "body has another checksum than its header says", http.StatusUnprocessableEntity)
		return
	}
	answerJSON(w, http.StatusOK, fmt.Sprintf(`{"bytes":%d}`+"\n", n))
}

// answerJSON writes a small answer with its checksum.
func answerJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(sumHeader, strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(body))), 16))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// stream answers GET /stream.
func (b *Backend) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	out := http.NewResponseController(w)
	beat := time.NewTicker(max(b.config.Stream/streamChunks, time.Microsecond))
	defer beat.Stop()
	for n := range streamChunks {
		if _, err := fmt.Fprintf(w, "chunk %d of %d %s\n", n+1, streamChunks, b.filler[:200]); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
		select {
		case <-beat.C:
		case <-r.Context().Done():
			return
		}
	}
	_, _ = io.WriteString(w, "end\n")
}

// webSocket echoes messages until the client leaves or the backend stops.
func (b *Backend) webSocket(w http.ResponseWriter, r *http.Request) {
	b.sockets.Add(1) // before the connection leaves the server's care
	defer b.sockets.Done()
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		b.log.DebugContext(r.Context(), "websocket refused", "error", err)
		return
	}
	defer conn.CloseNow()
	echoed := make(chan struct{})
	ctx := r.Context()
	go func() {
		defer close(echoed)
		echo(ctx, conn)
	}()
	select {
	case <-echoed:
	case <-b.stop:
		if b.crashed.Load() {
			break
		}
		_ = conn.Close(websocket.StatusGoingAway, "server stops")
	}
	_ = conn.CloseNow()
	<-echoed
}

// echo sends every message back until the connection ends.
func echo(ctx context.Context, conn *websocket.Conn) {
	for {
		kind, message, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if err := conn.Write(ctx, kind, message); err != nil {
			return
		}
	}
}

// readyz answers whether the backend wants traffic.
func (b *Backend) readyz(w http.ResponseWriter, _ *http.Request) {
	if !b.ready.Load() {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ready\n")
}

// makeFiller returns n bytes of printable text.
func makeFiller(n int) []byte {
	filler := make([]byte, n)
	for i := range filler {
		filler[i] = 'a' + byte((i*7+i/64)%26)
	}
	return filler
}
