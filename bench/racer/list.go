package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"
)

// list lists the node's pods, some times one after the other.
func list(client *http.Client, base string, n, times, distinct int, set string) {
	url := fmt.Sprintf("%s/api/v1/pods?fieldSelector=spec.nodeName%%3Dworker&limit=500&n=%d&distinct=%d&set=%s", base, n, distinct, set)
	var took []float64
	items := 0
	for range times {
		start := time.Now()
		body := open(client, url)
		text := must(io.ReadAll(body))
		body.Close()
		took = append(took, float64(time.Since(start).Microseconds())/1000)
		items = bytes.Count(text, []byte(`"uid":"aaaaaaaa-`))
	}
	report("list", took, fmt.Sprintf("first=%.3f items=%d", took[0], items))
}
