package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// event is a line of a watch in two halves, between which the time of sending goes. It rides in resourceVersion, since what
// a proxy may strip cannot carry it.
type event struct{ before, after []byte }

const mark = `"resourceVersion":"`

// watchEvent is metav1.WatchEvent of apimachinery, in its order.
type watchEvent struct {
	Type   string `json:"type"`
	Object object `json:"object"`
}

// newEvent makes the line for a changed object.
func newEvent(changed object) event {
	const place = "@@T@@"
	changed["metadata"].(object)["resourceVersion"] = place
	line := append(must(json.Marshal(watchEvent{"MODIFIED", changed})), '\n')
	before, after, _ := bytes.Cut(line, []byte(place))
	return event{before, after}
}

func (e event) send(w http.ResponseWriter) {
	w.Write(e.before)
	fmt.Fprintf(w, "%d", time.Now().UnixNano())
	w.Write(e.after)
}

// sendEvents sends each event `rounds` times, at `rate` a second, or as fast as they are taken if that is 0.
func sendEvents(w http.ResponseWriter, events []event, rounds, rate int) {
	start := time.Now()
	sent := 0
	for range rounds {
		for _, e := range events {
			if rate > 0 {
				time.Sleep(time.Until(start.Add(time.Duration(sent) * time.Second / time.Duration(rate))))
			}
			e.send(w)
			if rate > 0 {
				w.(http.Flusher).Flush()
			}
			sent++
		}
	}
	w.(http.Flusher).Flush()
}

// sentAt reads the time of sending out of a line, in nanoseconds of Unix time.
func sentAt(line []byte) (int64, bool) {
	at := bytes.Index(line, []byte(mark))
	if at < 0 {
		return 0, false
	}
	digits, _, _ := bytes.Cut(line[at+len(mark):], []byte(`"`))
	nanoseconds, err := strconv.ParseInt(string(digits), 10, 64)
	return nanoseconds, err == nil && len(digits) >= 19
}
