package preview

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

const (
	// cookieName is that of the cookie that a visitor gets for the password. Browsers
	// accept the prefix only for the one host that sets the cookie.
	cookieName = "__Host-kubectl-intercept-preview"
	// cookieLife is how long a visitor need not give the password again.
	cookieLife = 12 * time.Hour
	// passwordField is the name of the form's field.
	passwordField = "kubectl-intercept-password"
	// maxForm bounds what is read of the form.
	maxForm = 4 << 10
	// formTimeout is how long the form may take to arrive.
	formTimeout = 10 * time.Second
)

// admit says whether a visitor may pass. It has answered if not. A visitor with the cookie
// passes, and one with the password in HTTP's Basic authentication, whose user name does
// not matter. Everybody else gets the form. The application does not get the password.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, o *openPreview) bool {
	if o.intercept.Spec.Preview.PasswordHash == "" {
		return true
	}
	for _, c := range r.CookiesNamed(cookieName) {
		if s.checkCookie(o.intercept, c.Value, s.now()) {
			if _, password, ok := r.BasicAuth(); ok && o.attempts.own(s.passwordSum(password), s.comparison(r.Context(), o, password)) {
				r.Header.Del("Authorization")
			}
			return true
		}
	}
	if _, password, ok := r.BasicAuth(); ok {
		switch allowed, right := s.try(r.Context(), o, password); {
		case right:
			r.Header.Del("Authorization")
			return true
		case !allowed:
			s.tooMany(w)
			return false
		}
	}
	s.ask(w, r, o)
	return false
}

// ask shows the form, or takes what was typed into it.
func (s *Server) ask(w http.ResponseWriter, r *http.Request, o *openPreview) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	// An error says that w cannot have a deadline, as in tests. It ends with the request.
	_ = http.NewResponseController(w).SetReadDeadline(s.now().Add(formTimeout))
	if r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") || r.PostFormValue(passwordField) == "" {
		s.form(w, r, pageAsk)
		return
	}
	switch allowed, right := s.try(r.Context(), o, r.PostFormValue(passwordField)); {
	case right:
		until := s.now().Add(cookieLife)
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: s.cookie(o.intercept, until), Path: "/", Expires: until,
			Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		back := url.URL{Scheme: "https", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
		w.Header().Set("Location", back.String())
		show(w, http.StatusSeeOther, pageAway)
	case !allowed:
		s.tooMany(w)
	default:
		s.form(w, r, pageWrong)
	}
}

// form asks a person with a page, and a program by HTTP's Basic authentication: to a
// person a browser would show its own dialog.
func (s *Server) form(w http.ResponseWriter, r *http.Request, p page) {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		show(w, http.StatusForbidden, p)
		return
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="preview", charset="UTF-8"`)
	show(w, http.StatusUnauthorized, p)
}

func (s *Server) tooMany(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "60")
	show(w, http.StatusTooManyRequests, pageTooMany)
}

// try compares a password. Allowed is false if there were too many attempts.
func (s *Server) try(ctx context.Context, o *openPreview, password string) (allowed, right bool) {
	return o.attempts.try(ctx, s.now(), s.passwordSum(password), s.comparison(ctx, o, password))
}

// comparison returns a function that compares a password with the preview's.
func (s *Server) comparison(ctx context.Context, o *openPreview, password string) func() (bool, error) {
	return func() (bool, error) { return s.hashing.compare(ctx, o.intercept.Spec.Preview.PasswordHash, password) }
}

// passwordSum is the keyed hash by which attempts knows a password.
func (s *Server) passwordSum(password string) []byte { return s.mac("password", password) }

// cookie is the value of a cookie that is good for one preview and its password.
func (s *Server) cookie(ic *v1alpha1.Intercept, until time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(b, s.mac("cookie", string(b), string(ic.UID), ic.Spec.Preview.PasswordHash)...))
}

func (s *Server) checkCookie(ic *v1alpha1.Intercept, value string, now time.Time) bool {
	b, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(b) != 8+sha256.Size {
		return false
	}
	sum := s.mac("cookie", string(b[:8]), string(ic.UID), ic.Spec.Preview.PasswordHash)
	return subtle.ConstantTimeCompare(b[8:], sum) == 1 && now.Unix() <= int64(binary.BigEndian.Uint64(b[:8]))
}

// mac is a keyed hash of parts.
func (s *Server) mac(parts ...string) []byte {
	m := hmac.New(sha256.New, s.Key)
	for _, p := range parts {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p))))
		m.Write([]byte(p))
	}
	return m.Sum(nil)
}
