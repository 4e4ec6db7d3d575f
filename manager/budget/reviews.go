package budget

import (
	"context"
	"net"
	"net/http"
)

// Bounded serves admission reviews, and bounds their size, how many are in memory, and how
// long one waits for its turn. One body is in memory until its answer is written.
func (b *Budget) Bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "this path takes admission reviews", http.StatusMethodNotAllowed)
			return
		}
		if q.ContentLength > ReviewSize {
			http.Error(w, "the review is too large", http.StatusRequestEntityTooLarge)
			return
		}
		from := q.RemoteAddr
		if host, _, err := net.SplitHostPort(from); err == nil {
			from = host
		}
		ctx, cancel := context.WithTimeout(q.Context(), ReviewWait)
		release, err := b.Reviews.Await(ctx, from)
		cancel()
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		defer release()
		defer VisitOf(q.Context()).Busy()()
		q.Body = http.MaxBytesReader(w, q.Body, ReviewSize)
		h.ServeHTTP(w, q)
	})
}
