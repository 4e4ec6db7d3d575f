package main

import (
	"math"
	"runtime/debug"
	"strings"
	"testing"
)

func TestLimitMemory(t *testing.T) {
	was := debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetMemoryLimit(was) })
	for _, tt := range []struct {
		env   map[string]string
		limit int64
		err   string
	}{
		{map[string]string{"MEMORY_LIMIT": "2147483648"}, 1932735276, ""},
		{map[string]string{"MEMORY_LIMIT": "2147483648", "GOMEMLIMIT": "1GiB"}, math.MaxInt64, ""},
		{nil, math.MaxInt64, ""},
		{map[string]string{"MEMORY_LIMIT": "2Gi"}, math.MaxInt64, `MEMORY_LIMIT "2Gi" is no number of bytes`},
		{map[string]string{"MEMORY_LIMIT": "0"}, math.MaxInt64, `MEMORY_LIMIT "0" is no number of bytes`},
	} {
		debug.SetMemoryLimit(math.MaxInt64)
		err := limitMemory(func(name string) string { return tt.env[name] })
		if got := debug.SetMemoryLimit(-1); got != tt.limit {
			t.Errorf("%v: the limit is %d, want %d", tt.env, got, tt.limit)
		}
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%v: %v", tt.env, err)
		}
	}
}
