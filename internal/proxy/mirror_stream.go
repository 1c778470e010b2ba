package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/segue-deploy/segue"
)

// mirrorLine is one line of the stream that a mirror is.
type mirrorLine struct {
	Record *MirrorRecord `json:"record,omitempty"`
	Lost   int64         `json:"lost,omitempty"`
	// End says why no line follows; a stream without one broke.
	End *problem `json:"end,omitempty"`
}

// postMirror copies requests for as long as whoever asked for it listens. Nothing of it is stored: when the controller dies, it is over.
func (p *Proxy) postMirror(w http.ResponseWriter, r *http.Request) {
	s, config, err := p.mirrorOf(w, r)
	if err != nil {
		writeJSON(w, statusOf(segue.KindOf(err)), problem{segue.KindOf(err), err.Error(), segue.HintOf(err)})
		return
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // the server's own bounds the request, and would end the stream
	w.Header().Set("Content-Type", "application/x-ndjson")
	encoder := json.NewEncoder(w)
	send := func(line mirrorLine) error {
		_ = control.SetWriteDeadline(time.Now().Add(adminTimeout))
		return errors.Join(encoder.Encode(line), control.Flush())
	}
	if err := send(mirrorLine{}); err != nil {
		return
	}
	err = s.mirror(r.Context(), config, func(record *MirrorRecord, lost int64) error {
		return send(mirrorLine{Record: record, Lost: lost})
	})
	if kind := segue.KindOf(err); kind == segue.KindConflict {
		_ = send(mirrorLine{End: &problem{Kind: kind, Message: err.Error()}})
	}
}

func (p *Proxy) mirrorOf(w http.ResponseWriter, r *http.Request) (s *service, config Mirror, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxAdminBody)
	if err := decode(r, &config); err != nil {
		return nil, config, err
	}
	if err := config.Validate(); err != nil {
		return nil, config, err
	}
	if s, err = p.service(nameOf(r)); err != nil {
		return nil, config, err
	}
	for _, id := range append([]segue.InstanceID{config.Candidate}, config.Stable...) {
		if s.find(id) == nil {
			return nil, config, unknownBackend(s.name, id)
		}
	}
	return s, config, nil
}

// Mirror copies requests of a service until ctx ends, and calls sink with each record, one at a time. It returns nil when ctx has ended;
// KindConflict when another mirror takes over, KindUnavailable when the proxy has gone away.
func (c *Client) Mirror(ctx context.Context, service string, m Mirror, sink func(MirrorRecord)) error {
	answer, err := c.send(ctx, http.MethodPost, path(service, "mirror"), m)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		return refusal(answer)
	}
	decoder := json.NewDecoder(answer.Body)
	lost := int64(0)
	for {
		var line mirrorLine
		if err := decoder.Decode(&line); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return segue.Errorf(segue.KindUnavailable, "mirror requests of service %s: the proxy went away: %w", service, err)
		}
		if line.End != nil {
			return &segue.Error{Kind: line.End.Kind, Message: line.End.Message, Hint: line.End.Hint}
		}
		if lost += line.Lost; line.Record != nil {
			line.Record.Lost, lost = lost, 0
			sink(*line.Record)
		}
	}
}
