package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// pass sends small requests for some seconds, one after the other in each client. An answer other than 200 ends the program.
// With tokens, requests present one after the other of them.
func pass(client *http.Client, url, bodyFile string, clients, secs, tokens int) {
	method, body := http.MethodGet, []byte(nil)
	if bodyFile != "" {
		method, body = http.MethodPost, must(os.ReadFile(bodyFile))
	}
	var group sync.WaitGroup
	var mutex sync.Mutex
	var sent atomic.Int64
	var all []float64
	stop := time.Now().Add(time.Duration(secs) * time.Second)
	for range clients {
		group.Go(func() {
			var took []float64
			for time.Now().Before(stop) {
				start := time.Now()
				request := must(http.NewRequest(method, url, bytes.NewReader(body)))
				request.Header.Set("Content-Type", "application/json")
				if tokens > 0 {
					request.Header.Set("Authorization", fmt.Sprintf("Bearer racer-token-%04d", int(sent.Add(1))%tokens))
				}
				answer := must(client.Do(request))
				must(io.Copy(io.Discard, answer.Body))
				answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					must(0, fmt.Errorf("%s %s: %s", method, url, answer.Status))
				}
				took = append(took, float64(time.Since(start).Microseconds())/1000)
			}
			mutex.Lock()
			all = append(all, took...)
			mutex.Unlock()
		})
	}
	group.Wait()
	report("pass", all, fmt.Sprintf("requests/s=%.1f", float64(len(all))/float64(secs)))
}
