package main

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// serve is the API server: what it answers stands in the query.
func serve(port string, p *pods) {
	small := []byte(`{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","x":"` + strings.Repeat("a", 4000) + `"}`)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		number := func(name string) int { n, _ := strconv.Atoi(query.Get(name)); return n }
		watching := query.Get("watch") == "true"
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodPatch:
			w.Write([]byte(`{"kind":"Pod","apiVersion":"v1","metadata":{},"spec":{},"status":{}}`))
		case strings.HasSuffix(r.URL.Path, "/configmaps") && watching:
			serveConfigMap(w, r, query.Get("fieldSelector"), number("n"), number("rounds"), number("rate"))
		case strings.HasSuffix(r.URL.Path, "/pods") && watching:
			events := make([]event, number("n"))
			for i := range events {
				events[i] = newEvent(p.pod(i, query.Get("distinct") == "1", query.Get("fresh") == "1"))
			}
			w.(http.Flusher).Flush()
			sendEvents(w, events, number("rounds"), number("rate"))
		case strings.HasSuffix(r.URL.Path, "/pods") && query.Get("set") != "":
			w.Write(must(os.ReadFile(filepath.Join("sets", filepath.Base(query.Get("set"))+".json"))))
		case strings.HasSuffix(r.URL.Path, "/pods"):
			w.Write(p.list(number("n"), query.Get("distinct") == "1"))
		default:
			w.Write(small)
		}
	})
	server := &http.Server{Addr: "127.0.0.1:" + port, Handler: handler, TLSConfig: &tls.Config{ClientCAs: loadAuthority(), ClientAuth: tls.VerifyClientCertIfGiven}}
	must(0, server.ListenAndServeTLS(filepath.Join(*dir, "server.crt"), filepath.Join(*dir, "server.key")))
}
