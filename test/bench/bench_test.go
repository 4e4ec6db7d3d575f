package main

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/meter"
)

func TestFigureKeysAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range figures() {
		if seen[f.Key] || f.Key == "" || f.Title == "" {
			t.Errorf("figure %q (%s) is there twice, or has no name", f.Key, f.Title)
		}
		seen[f.Key] = true
	}
	for _, f := range figures() {
		if f.Bar.Base != "" && !seen[f.Bar.Base] {
			t.Errorf("figure %q is compared with %q, which does not exist", f.Key, f.Bar.Base)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"extra"}, {"-seconds=0"}, {"-seconds=61"}, {"-rounds=0"}, {"-rounds=101"}, {"-only=("}, {"-nonsense"},
	} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("parse(%q) takes it", args)
		}
	}
}

// TestPrograms runs server and caller as the bench does, but for the network.
func TestPrograms(t *testing.T) {
	const addr = "127.0.0.1:0"
	if err := run(t.Context(), []string{"call", "nothing", "-addr=" + addr}, io.Discard, io.Discard); err == nil {
		t.Error("an unknown call is no error")
	}
	if err := run(t.Context(), []string{"clock"}, io.Discard, io.Discard); err == nil {
		t.Error("clock of nothing is no error")
	}
	var out strings.Builder
	if err := run(t.Context(), []string{"clock", "true"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	var s span
	if err := json.Unmarshal([]byte(out.String()), &s); err != nil || s.Start.IsZero() || s.End.Before(s.Start) {
		t.Errorf("clock printed %q: %v", out.String(), err)
	}
}

func TestProcess(t *testing.T) {
	shell := func(script string) []string { return []string{"sh", "-c", script} }
	p, err := start(t.Context(), shell("echo ready; echo result; exec sleep 60"), nil, ready)
	if err != nil {
		t.Fatal(err)
	}
	if line, err := p.nextLine(t.Context()); line != "result" || err != nil {
		t.Errorf("line: %q, %v", line, err)
	}
	if !p.alive() {
		t.Error("it has ended already")
	}
	p.stop()
	p.stop()
	if p.alive() {
		t.Error("it lives on")
	}
	if _, err := start(t.Context(), shell("echo broken >&2"), nil, ready); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a program that ends at once: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := start(ctx, shell("exec sleep 60"), nil, ready); err == nil {
		t.Error("started although the run is over")
	}
}

func TestStallNames(t *testing.T) {
	if got := stallPhase(20, meter.Downloads); got != "20 downloads" {
		t.Errorf("phase %q", got)
	}
	for _, phase := range []string{phaseRest, phaseLoad, stallPhase(200, meter.Uploads), phaseLeft, phaseSlow} {
		if !strings.Contains(strings.Join(phases(), "|"), phase) {
			t.Errorf("no column for %q", phase)
		}
	}
}
