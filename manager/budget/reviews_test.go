package budget

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// review is the answer to a request of the webhook from an address.
func review(h http.Handler, method, from string, body io.Reader) *httptest.ResponseRecorder {
	q := httptest.NewRequest(method, "/inject", body)
	q.RemoteAddr = from + ":40000"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, q)
	return w
}

func TestBoundedSize(t *testing.T) {
	h := quiet().Bounded(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		n, err := io.Copy(io.Discard, q.Body)
		var large *http.MaxBytesError
		if n > ReviewSize || err != nil && !errors.As(err, &large) {
			t.Errorf("read %d bytes: %v", n, err)
		}
		if err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	}))
	for _, tt := range []struct {
		what, method string
		body         io.Reader
		want         int
	}{
		{"a review", http.MethodPost, strings.NewReader("{}"), http.StatusOK},
		{"one that is as large as can be", http.MethodPost, strings.NewReader(strings.Repeat("x", ReviewSize)), http.StatusOK},
		{"a larger one", http.MethodPost, strings.NewReader(strings.Repeat("x", ReviewSize+1)), http.StatusRequestEntityTooLarge},
		{"one that does not say its size", http.MethodPost, io.MultiReader(strings.NewReader(strings.Repeat("x", 2*ReviewSize))), http.StatusRequestEntityTooLarge},
		{"what a session could send by the API server", http.MethodGet, strings.NewReader("{}"), http.StatusMethodNotAllowed},
	} {
		if got := review(h, tt.method, "10.0.0.1", tt.body).Code; got != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, got, tt.want)
		}
	}
}

// An address that sends many reviews which do not end has few of them in memory, and the
// API server, at another address, does not notice.
func TestBoundedReviews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open, most atomic.Int64
		b := quiet()
		h := b.Bounded(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
			most.Store(max(most.Load(), open.Add(1)))
			defer open.Add(-1)
			io.Copy(io.Discard, q.Body)
		}))
		refused := make(chan int, 1000)
		var slow []*io.PipeWriter
		for range 1000 {
			r, w := io.Pipe()
			slow = append(slow, w)
			go func() { refused <- review(h, http.MethodPost, "10.0.0.66", r).Code }()
		}
		synctest.Wait()
		began := time.Now()
		if got := review(h, http.MethodPost, "10.0.0.1", strings.NewReader("{}")); got.Code != http.StatusOK || time.Since(began) != 0 {
			t.Errorf("the API server has %d after %s", got.Code, time.Since(began))
		}
		for range 1000 - reviewsEach {
			if code := <-refused; code != http.StatusServiceUnavailable {
				t.Fatalf("a review of too many: %d", code)
			}
		}
		if took := time.Since(began); took != ReviewWait {
			t.Errorf("they waited %s", took)
		}
		for _, w := range slow {
			w.Close()
		}
		synctest.Wait()
		if n := most.Load(); n != reviewsEach+1 {
			t.Errorf("%d reviews were in memory", n)
		}
		if n := b.Reviews.inUse(); n != 0 {
			t.Errorf("%d are left", n)
		}
	})
}

// The connection of a review that is being served does not make room for strangers from the
// same address, and does when it has nothing to do.
func TestReviewMakesNoRoom(t *testing.T) {
	b := quiet()
	closed := 0
	q := httptest.NewRequest(http.MethodPost, "/inject", strings.NewReader("{}"))
	q = q.WithContext(With(q.Context(), b.Strangers.Enter("10.0.0.1", func() { closed++ })))
	crowd := func() {
		for range strangersEach {
			b.Strangers.Enter("10.0.0.1", func() {})
		}
	}
	b.Bounded(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { crowd() })).ServeHTTP(httptest.NewRecorder(), q)
	if closed != 0 {
		t.Error("a review was ended by strangers")
	}
	if crowd(); closed != 1 {
		t.Errorf("an idle connection was closed %d times", closed)
	}
}
