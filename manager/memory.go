package main

import (
	"fmt"
	"runtime/debug"
	"strconv"
)

// limitMemory tells the garbage collector how much memory the container has, which the
// kubelet says in MEMORY_LIMIT, in bytes: nine tenths of it are for Go, and the rest is for
// stacks of the kernel, buffers of sockets and the program itself. GOMEMLIMIT overrides it.
func limitMemory(getenv func(string) string) error {
	text := getenv("MEMORY_LIMIT")
	if text == "" || getenv("GOMEMLIMIT") != "" {
		return nil
	}
	limit, err := strconv.ParseInt(text, 10, 64)
	if err != nil || limit <= 0 {
		return fmt.Errorf("MEMORY_LIMIT %q is no number of bytes: set it from limits.memory", text)
	}
	debug.SetMemoryLimit(limit / 10 * 9)
	return nil
}
