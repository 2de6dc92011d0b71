// A service of one file: the compiler that it needs is in no image.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	greeting := os.Getenv("GREETING")
	http.HandleFunc("/", func(response http.ResponseWriter, request *http.Request) {
		fmt.Fprintf(response, "%s, %s\n", greeting, request.URL.Path[1:])
	})
	server := &http.Server{Addr: ":8080"}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	finished := make(chan struct{})
	go func() {
		<-stop.Done()
		// Requests in flight are answered first.
		server.Shutdown(context.Background())
		close(finished)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-finished
}
