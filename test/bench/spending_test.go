package main

import (
	"maps"
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
	addRows(&g, "path", []string{agentProcess, apiProcess}, transfer{title: "up"}, before, after, r)
	addRows(&g, "direct", nil, transfer{title: "up"}, before, after, r)
	got := map[string]float64{}
	for row, columns := range g.Values {
		got[row] = columns["up"][0]
	}
	want := map[string]float64{"path: whole machine": 5, "path: sum of the rows below": 2.5, "path: agent": 1.5, "path: kube-apiserver": 0.5, "path: caller": 0.5,
		"direct: whole machine": 5, "direct: caller": 0.5}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
