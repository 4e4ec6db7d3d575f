package preview

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// locked is ada's preview with the password "secret".
func locked(t *testing.T) (*Server, *v1alpha1.Intercept) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	ic := intercept(func(ic *v1alpha1.Intercept) { ic.Spec.Preview.PasswordHash = string(hash) })
	s, _ := newServer(t, ic)
	return s, ic
}

func typed(password string) func(*http.Request) {
	return func(r *http.Request) {
		r.Method = http.MethodPost
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "text/html")
		r.Body = io.NopCloser(strings.NewReader(passwordField + "=" + password))
	}
}

func TestForm(t *testing.T) {
	s, _ := locked(t)
	w := visit(s, host, "/a?b=c", func(r *http.Request) { r.Header.Set("Accept", "text/html,*/*") })
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), passwordField) || w.Header().Get("WWW-Authenticate") != "" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := visit(s, host, "/", typed("wrong")); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "not the password") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = visit(s, host, "//a?b=c", typed("secret"))
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "https://"+host+"//a?b=c" || len(w.Result().Cookies()) != 1 {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	cookie := w.Result().Cookies()[0]
	if !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Domain != "" || cookie.Path != "/" {
		t.Errorf("%v", cookie)
	}
	w = visit(s, host, "/", func(r *http.Request) {
		r.AddCookie(cookie)
		r.Header.Add("Cookie", "basket=3")
		r.SetBasicAuth("ada", "for the application")
	})
	if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Seen"), "7f:quote basket=3; x-intercept-id=7f:quote Basic ") {
		t.Errorf("with the cookie: %d %v", w.Code, w.Header())
	}
}

// withDeadline is an answer whose request can have a deadline.
type withDeadline struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (w *withDeadline) SetReadDeadline(at time.Time) error {
	w.deadline = at
	return nil
}

// A form that never ends holds no connection for long.
func TestFormHasADeadline(t *testing.T) {
	s, _ := locked(t)
	now := time.Unix(1_800_000_000, 0)
	s.now = func() time.Time { return now }
	w, r := &withDeadline{ResponseRecorder: httptest.NewRecorder()}, httptest.NewRequest(http.MethodPost, "/", nil)
	typed("wrong")(r)
	r.Host = host
	if s.ServeHTTP(w, r); w.Code != http.StatusForbidden || !w.deadline.Equal(now.Add(formTimeout)) {
		t.Errorf("%d until %v", w.Code, w.deadline)
	}
}

// A browser may send the preview's password along with the cookie. The application does
// not get it, whichever of the replicas took it first.
func TestBasicWithCookie(t *testing.T) {
	for _, taken := range []bool{true, false} {
		s, ic := locked(t)
		cookie := &http.Cookie{Name: cookieName, Value: s.cookie(ic, s.now().Add(time.Hour))}
		if taken {
			visit(s, host, "/", func(r *http.Request) { r.SetBasicAuth("", "secret") })
		}
		for _, password := range []string{"theirs", "secret", "theirs", "secret"} {
			w := visit(s, host, "/", func(r *http.Request) {
				r.AddCookie(cookie)
				r.SetBasicAuth("ada", password)
			})
			if passed := strings.Contains(w.Header().Get("Seen"), " Basic "); w.Code != http.StatusOK || passed != (password == "theirs") {
				t.Errorf("%s: %d, passed on: %t", password, w.Code, passed)
			}
		}
	}
}

// A page of many parts that a program gets at once sends the password many times at once.
func TestRightInParallel(t *testing.T) {
	s, _ := locked(t)
	for range maxCompared { // so that all are asked before one is answered
		s.hashing <- struct{}{}
	}
	const n = 3 * maxAttempts
	codes := make(chan int, n)
	var asked sync.WaitGroup
	asked.Add(n)
	for range n {
		go func() {
			codes <- visit(s, host, "/", func(r *http.Request) {
				r.SetBasicAuth("", "secret")
				asked.Done()
			}).Code
		}()
	}
	asked.Wait()
	for range maxCompared {
		<-s.hashing
	}
	for range n {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("%d", code)
		}
	}
}

// A password that is compared for a visitor who goes away meanwhile is compared for the
// next one, and is no wrong one.
func TestVisitorGoesAway(t *testing.T) {
	var a attempts
	now := time.Unix(1_800_000_000, 0)
	begun, gone := make(chan struct{}), make(chan struct{})
	go a.try(t.Context(), now, []byte("sum"), func() (bool, error) {
		close(begun)
		<-gone
		return false, context.Canceled
	})
	<-begun
	next := make(chan bool)
	go func() {
		_, right := a.try(t.Context(), now, []byte("sum"), func() (bool, error) { return true, nil })
		next <- right
	}()
	close(gone)
	if !<-next || a.wrong != 0 {
		t.Errorf("%d wrong attempts", a.wrong)
	}
}

// A cookie is good for one preview, one password and a while.
func TestCookie(t *testing.T) {
	s, ic := locked(t)
	now := time.Unix(1_800_000_000, 0)
	good := s.cookie(ic, now.Add(time.Hour))
	other, changed := ic.DeepCopy(), ic.DeepCopy()
	other.UID = "uid-2"
	changed.Spec.Preview.PasswordHash += "x"
	for name, c := range map[string]struct {
		ic    *v1alpha1.Intercept
		value string
		at    time.Time
		want  bool
	}{
		"good": {ic, good, now, true}, "late": {ic, good, now.Add(2 * time.Hour), false}, "another's": {other, good, now, false},
		"another password": {changed, good, now, false}, "empty": {ic, "", now, false}, "longer": {ic, s.cookie(ic, now.Add(2*time.Hour))[:11] + good[11:], now, false},
	} {
		if got := s.checkCookie(c.ic, c.value, c.at); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// FuzzCookie: no other value than a cookie of the preview admits.
func FuzzCookie(f *testing.F) {
	s := New(Config{Key: []byte("key")})
	ic := intercept(nil)
	until := time.Unix(1_900_000_000, 0)
	good := s.cookie(ic, until)
	for _, seed := range []string{"", good, good[1:], "AAAA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if s.checkCookie(ic, value, time.Unix(0, 0)) && value != good {
			t.Errorf("%q is admitted", value)
		}
	})
}

// Programs use HTTP's Basic authentication, which the application does not see.
func TestBasic(t *testing.T) {
	s, _ := locked(t)
	w := visit(s, host, "/", nil)
	if w.Code != http.StatusUnauthorized || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	for range 2 * maxAttempts {
		w := visit(s, host, "/", func(r *http.Request) { r.SetBasicAuth("anybody", "secret") })
		if w.Code != http.StatusOK || strings.Contains(w.Header().Get("Seen"), "Basic") {
			t.Fatalf("%d %v", w.Code, w.Header())
		}
	}
}

// After some wrong passwords the right one does not count either, for a while. A
// visitor with the cookie passes.
func TestGuessing(t *testing.T) {
	s, ic := locked(t)
	now := time.Unix(1_800_000_000, 0)
	s.now = func() time.Time { return now }
	guess := func(password string) int {
		return visit(s, host, "/", func(r *http.Request) { r.SetBasicAuth("", password) }).Code
	}
	if code := guess("secret"); code != http.StatusOK {
		t.Fatal(code)
	}
	for range maxAttempts {
		if code := guess("wrong"); code != http.StatusUnauthorized {
			t.Fatal(code)
		}
	}
	for _, password := range []string{"wrong", "secret"} {
		if code := guess(password); code != http.StatusTooManyRequests {
			t.Errorf("%s: %d", password, code)
		}
	}
	if w := visit(s, host, "/", typed("secret")); w.Code != http.StatusTooManyRequests {
		t.Errorf("by the form: %d", w.Code)
	}
	cookie := &http.Cookie{Name: cookieName, Value: s.cookie(ic, now.Add(time.Hour))}
	if w := visit(s, host, "/", func(r *http.Request) { r.AddCookie(cookie) }); w.Code != http.StatusOK {
		t.Errorf("with the cookie: %d", w.Code)
	}
	now = now.Add(attemptWindow)
	if code := guess("secret"); code != http.StatusOK {
		t.Errorf("a minute later: %d", code)
	}
}
