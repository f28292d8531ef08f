package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
)

// newClient is the kubelet: its certificate, HTTP/2 where it is offered.
func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: loadAuthority(), Certificates: []tls.Certificate{loadPair("node")}},
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 64,
		DisableCompression:  true,
	}}
}

// open asks for JSON. An answer other than 200 ends the program.
func open(client *http.Client, url string) io.ReadCloser {
	request := must(http.NewRequest(http.MethodGet, url, nil))
	request.Header.Set("Accept", "application/json")
	answer := must(client.Do(request))
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 500))
		must(0, fmt.Errorf("GET %s: %s: %s", url, answer.Status, text))
	}
	return answer.Body
}

func percentile(sorted []float64, part float64) float64 {
	return sorted[int(float64(len(sorted)-1)*part)]
}

// report prints the line that bench/racer.ts reads: milliseconds, then what else was counted.
func report(what string, milliseconds []float64, more string) {
	if len(milliseconds) == 0 {
		fmt.Fprintf(os.Stderr, "racer: %s: nothing arrived\n", what)
		os.Exit(1)
	}
	sort.Float64s(milliseconds)
	fmt.Printf("%s: n=%d p50=%.3f p90=%.3f p99=%.3f max=%.3f %s\n", what, len(milliseconds), percentile(milliseconds, .5),
		percentile(milliseconds, .9), percentile(milliseconds, .99), percentile(milliseconds, 1), more)
}
