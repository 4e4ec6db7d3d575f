package meter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// lookupTimeout is the time after which a query counts as lost.
const lookupTimeout = 2 * time.Second

// Cached looks up one existing name from the given number of sockets at once, for
// the duration d. It does not measure the first lookup, which fills the cache.
func Cached(ctx context.Context, server, name string, sockets int, d time.Duration) (Latency, error) {
	if _, err := lookups(ctx, server, 1, time.Minute, func(n int) string { return name }, dns.RcodeSuccess); err != nil {
		return Latency{}, err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []time.Duration
	var errs []error
	start := time.Now()
	for range sockets {
		wg.Go(func() {
			took, err := lookups(ctx, server, 1<<30, d, func(int) string { return name }, dns.RcodeSuccess)
			mu.Lock()
			defer mu.Unlock()
			all, errs = append(all, took...), append(errs, err)
		})
	}
	wg.Wait()
	return Summarize(all, time.Since(start)), errors.Join(errs...)
}

// Uncached looks up names that no cache has, one after the other. They are the
// names that pods' addresses have below domain, which resolve even if there is no
// such pod.
func Uncached(ctx context.Context, server, domain string, count int, limit time.Duration) (Latency, error) {
	start := time.Now()
	first := uint32(start.UnixMilli())
	all, err := lookups(ctx, server, count, limit, func(n int) string {
		a := first + uint32(n)
		return fmt.Sprintf("10-%d-%d-%d.%s", a>>16&0xff, a>>8&0xff, a&0xff, domain)
	}, dns.RcodeSuccess)
	return Summarize(all, time.Since(start)), err
}

// lookups makes lookups from one socket, one after the other. It stops after count
// lookups, or when limit has passed. Every answer must have the response code.
func lookups(ctx context.Context, server string, count int, limit time.Duration, name func(int) string, code int) ([]time.Duration, error) {
	client := &dns.Client{Timeout: lookupTimeout}
	c, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var all []time.Duration
	var question dns.Msg
	for start := time.Now(); len(all) < count && time.Since(start) < limit; {
		question.SetQuestion(dns.Fqdn(name(len(all))), dns.TypeA)
		t := time.Now()
		answer, _, err := client.ExchangeWithConnContext(ctx, &question, c)
		if err != nil {
			return nil, err
		}
		if answer.Rcode != code {
			return nil, fmt.Errorf("%s: %s instead of %s", question.Question[0].Name, dns.RcodeToString[answer.Rcode], dns.RcodeToString[code])
		}
		all = append(all, time.Since(t))
	}
	return all, nil
}
