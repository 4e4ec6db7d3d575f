package main

import (
	"os"
	"testing"
)

func TestHasAddress(t *testing.T) {
	for ip, want := range map[string]bool{"127.0.0.1": true, "27.0.0.1": false, "192.0.2.77": false, "": false} {
		if got := hasAddress(os.Getpid(), ip); got != want {
			t.Errorf("hasAddress(%q) = %v", ip, got)
		}
	}
}
