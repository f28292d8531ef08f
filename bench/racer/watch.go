package main

import (
	"bufio"
	"fmt"
	"net/http"
	"time"
)

// watch watches the node's pods until the server ends it, and takes the time that each event was under way.
func watch(client *http.Client, base string, n, rounds, rate, distinct, fresh int) {
	lines := bufio.NewReaderSize(open(client, fmt.Sprintf(
		"%s/api/v1/pods?watch=true&fieldSelector=spec.nodeName%%3Dworker&n=%d&rounds=%d&rate=%d&distinct=%d&fresh=%d",
		base, n, rounds, rate, distinct, fresh)), 1<<20)
	var took []float64
	var first time.Time
	for {
		line, err := lines.ReadBytes('\n')
		if now := time.Now(); len(line) > 0 {
			if first.IsZero() {
				first = now
			}
			if nanoseconds, ok := sentAt(line); ok {
				took = append(took, float64(now.UnixNano()-nanoseconds)/1e6)
			}
		}
		if err != nil {
			break
		}
	}
	report("watch", took, fmt.Sprintf("events/s=%.1f", float64(len(took))/time.Since(first).Seconds()))
}
