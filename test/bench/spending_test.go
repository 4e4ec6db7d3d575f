package main

import (
	"maps"
	"os"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/meter"
	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

func TestRowsHaveASum(t *testing.T) {
	g := report.Grid{Columns: []string{"up"}}
	before := spending{wholeMachine: 100, agentProcess: 1, apiProcess: 2}
	after := spending{wholeMachine: 110, agentProcess: 4, apiProcess: 3}
	r := result{Bulk: meter.Bulk{Bytes: 2e9, Elapsed: time.Second}, CPU: time.Second}
	addRows(&g, "way", []string{agentProcess, apiProcess}, transfer{title: "up"}, before, after, r)
	addRows(&g, "direct", nil, transfer{title: "up"}, before, after, r)
	got := map[string]float64{}
	for row, columns := range g.Values {
		got[row] = columns["up"][0]
	}
	want := map[string]float64{"way: whole machine": 5, "way: sum of the rows below": 2.5, "way: agent": 1.5, "way: kube-apiserver": 0.5, "way: caller": 0.5,
		"direct: whole machine": 5, "direct: caller": 0.5}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestHasAddress(t *testing.T) {
	if _, err := os.Stat("/proc/self/net/fib_trie"); err != nil {
		t.Skip("not on Linux")
	}
	for ip, want := range map[string]bool{"127.0.0.1": true, "27.0.0.1": false, "192.0.2.77": false, "": false} {
		if got := hasAddress(os.Getpid(), ip); got != want {
			t.Errorf("hasAddress(%q) = %v", ip, got)
		}
	}
}
