package main

import (
	"crypto/x509"
	"fmt"
	"net/http"
)

func main() {
	pool, err := x509.SystemCertPool()
	trusted := err == nil && !pool.Equal(x509.NewCertPool())
	http.HandleFunc("/", func(response http.ResponseWriter, request *http.Request) {
		fmt.Fprintf(response, "six times seven is %d, trusting authorities: %v\n", 6*7, trusted)
	})
	panic(http.ListenAndServe(":8080", nil))
}
