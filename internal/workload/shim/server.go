package shim

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/segue-deploy/segue"
)

// handler serves the shim's three answers: its state, its next state, and the stop order.
func (k *keeper) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/state", func(w http.ResponseWriter, _ *http.Request) {
		state, _ := k.board.read()
		k.answer(w, state)
	})
	mux.HandleFunc("GET /v1/watch", k.watch)
	mux.HandleFunc("POST /v1/stop", k.stop)
	return mux
}

// stop takes the stop order and answers with the last state, once it was carried out.
func (k *keeper) stop(w http.ResponseWriter, r *http.Request) {
	k.order()
	for {
		state, changed := k.board.read()
		if state.Phase == segue.InstanceExited {
			k.answer(w, state)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// watch answers with the first state that is not the one the caller knows.
func (k *keeper) watch(w http.ResponseWriter, r *http.Request) {
	version, err := strconv.ParseUint(r.FormValue("version"), 10, 64)
	if err != nil {
		http.Error(w, "version is no number", http.StatusBadRequest)
		return
	}
	known := Cursor{Epoch: r.FormValue("epoch"), Version: version}
	for {
		state, changed := k.board.read()
		if state.Cursor != known {
			k.answer(w, state)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

func (k *keeper) answer(w http.ResponseWriter, state State) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(state) // whoever asked and has gone needs no answer
	k.board.tell(state)
}
