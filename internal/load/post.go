package load

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	// uploadPiece is the most that is written of an upload at a time.
	uploadPiece = 256 << 10
	// uploadBeat is the time between two writes of an upload.
	uploadBeat = 50 * time.Millisecond
)

// post sends one POST whose body begins with its id on a line of its own.
func (g *Generator) post(ctx context.Context, due time.Time) {
	x := &exchange{kind: KindPost, id: g.nextID(), due: due, until: due.Add(g.config.Timeout)}
	first := x.id + "\n"
	rest := g.filler[:g.config.PostBytes-len(first)]
	x.send = func(l *link) error {
		sum := crc32.Update(crc32.ChecksumIEEE([]byte(first)), crc32.IEEETable, rest)
		head := g.header(l, http.MethodPost, g.config.PostPath, x.id)
		head = bodyHeader(head, int64(g.config.PostBytes), strconv.FormatUint(uint64(sum), 16))
		head = append(head, first...)
		l.head = head
		parts := net.Buffers{head, rest}
		_, err := parts.WriteTo(l.conn)
		return err
	}
	g.carry(ctx, g.short, x)
}

// bodyHeader ends a request's header with what is said about its body.
func bodyHeader(head []byte, length int64, sum string) []byte {
	head = append(head, "Content-Type: application/octet-stream\r\nContent-Length: "...)
	head = strconv.AppendInt(head, length, 10)
	head = append(head, "\r\n"+SumHeader+": "...)
	head = append(head, sum...)
	return append(head, "\r\n\r\n"...)
}

// sendUpload sends one upload at an even pace.
func (g *Generator) sendUpload(ctx context.Context) bool {
	now := time.Now()
	x := &exchange{
		kind: KindUpload, id: g.nextID(), due: now,
		until: now.Add(g.config.UploadTime + g.config.Timeout),
	}
	x.send = func(l *link) error {
		head := g.header(l, http.MethodPost, g.config.UploadPath, x.id)
		if _, err := l.conn.Write(bodyHeader(head, g.config.UploadBytes, g.upload)); err != nil {
			return err
		}
		return g.pace(l.conn, now)
	}
	x.check = func(body io.Reader) error { return checkUpload(body, g.config.UploadBytes) }
	return g.carry(context.WithoutCancel(ctx), g.long, x)
}

// pace writes an upload's content so that it takes UploadTime since start.
func (g *Generator) pace(conn net.Conn, start time.Time) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for sent := int64(0); sent < g.config.UploadBytes; {
		now := <-timer.C
		goal := g.config.UploadBytes
		if passed := now.Sub(start) + uploadBeat; passed < g.config.UploadTime {
			goal = int64(float64(goal) * float64(passed) / float64(g.config.UploadTime))
		}
		for sent < goal {
			n := min(goal-sent, uploadPiece)
			from := sent % uploadPiece
			written, err := conn.Write(g.filler[from:min(from+n, uploadPiece)])
			sent += int64(written)
			if err != nil {
				return fmt.Errorf("after %d bytes: %w", sent, err)
			}
		}
		timer.Reset(uploadBeat)
	}
	return nil
}

// uploadSum returns the checksum of what pace writes.
func (g *Generator) uploadSum() string {
	sum := crc32.NewIEEE()
	for left := g.config.UploadBytes; left > 0; left -= uploadPiece {
		_, _ = sum.Write(g.filler[:min(left, uploadPiece)])
	}
	return strconv.FormatUint(uint64(sum.Sum32()), 16)
}

// checkUpload reads the answer to an upload: a JSON object whose "bytes" is what was received.
func checkUpload(body io.Reader, want int64) error {
	var answer struct {
		Bytes int64 `json:"bytes"`
	}
	if err := json.NewDecoder(io.LimitReader(body, 4<<10)).Decode(&answer); err != nil {
		return fmt.Errorf("read upload's answer: %w", err)
	}
	if answer.Bytes != want {
		return fmt.Errorf("server counted %d of %d bytes", answer.Bytes, want)
	}
	return nil
}
