package meter

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// pingSize is the size of an echoed message.
const pingSize = 64

// Latency summarizes a series of durations.
type Latency struct {
	P50, P99 time.Duration
	Count    int
	Elapsed  time.Duration
}

// PerSecond returns how many durations were measured per second.
func (l Latency) PerSecond() float64 {
	if l.Elapsed <= 0 {
		return 0
	}
	return float64(l.Count) / l.Elapsed.Seconds()
}

// Summarize sorts the durations in place and summarizes them. Elapsed is how long
// the whole series took.
func Summarize(d []time.Duration, elapsed time.Duration) Latency {
	slices.Sort(d)
	return Latency{P50: Percentile(d, 50), P99: Percentile(d, 99), Count: len(d), Elapsed: elapsed}
}

// Percentile returns the smallest of the sorted durations that at least p percent
// do not exceed. It returns 0 if there are no durations.
func Percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Ping sends messages on one connection and measures each echo. It stops after
// count messages, or when limit has passed.
func Ping(ctx context.Context, to Target, count int, limit time.Duration) (Latency, error) {
	c, err := to.dial(ctx, limit+grace)
	if err != nil {
		return Latency{}, err
	}
	defer c.Close()
	if _, err := c.Write([]byte{opEcho}); err != nil {
		return Latency{}, err
	}
	message := make([]byte, pingSize)
	var all []time.Duration
	start := time.Now()
	for len(all) < count && time.Since(start) < limit {
		t := time.Now()
		if _, err := c.Write(message); err != nil {
			return Latency{}, err
		}
		if _, err := io.ReadFull(c, message); err != nil {
			return Latency{}, err
		}
		all = append(all, time.Since(t))
	}
	return Summarize(all, time.Since(start)), nil
}

// Connect measures connections, one after the other, each with one echoed byte. It
// stops after count connections, or when limit has passed.
func Connect(ctx context.Context, to Target, count int, limit time.Duration) (Latency, error) {
	var all []time.Duration
	start := time.Now()
	for len(all) < count && time.Since(start) < limit {
		t := time.Now()
		if err := connectOnce(ctx, to); err != nil {
			return Latency{}, err
		}
		all = append(all, time.Since(t))
	}
	return Summarize(all, time.Since(start)), nil
}

func connectOnce(ctx context.Context, to Target) error {
	c, err := to.dial(ctx, grace)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte{opEcho, 'x'}); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 1))
	return err
}

// Loaded pings for the duration d while one upload and one download run.
func Loaded(ctx context.Context, to Target, d time.Duration) (Latency, error) {
	const lead = 500 * time.Millisecond // until the transfers run at full speed
	var wg sync.WaitGroup
	var up, down error
	wg.Go(func() { _, up = Upload(ctx, to, 1, d+2*lead) })
	wg.Go(func() { _, down = Download(ctx, to, 1, d+2*lead) })
	hold(ctx, lead)
	l, err := Ping(ctx, to, 1<<20, d)
	wg.Wait()
	return l, errors.Join(err, up, down)
}

// Who returns the name of the server that answers.
func Who(ctx context.Context, to Target) (string, error) {
	c, err := to.dial(ctx, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := c.Write([]byte{opWho}); err != nil {
		return "", err
	}
	name, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSuffix(name, "\n"), err
}

// Await asks until the server called name answers, and returns the time of that
// answer. It ignores errors, because the path may be changing.
func Await(ctx context.Context, to Target, name string) (time.Time, error) {
	const pause = 2 * time.Millisecond // short compared with what is measured
	for ctx.Err() == nil {
		if got, err := Who(ctx, to); err == nil && got == name {
			return time.Now(), nil
		}
		hold(ctx, pause)
	}
	return time.Time{}, ctx.Err()
}
