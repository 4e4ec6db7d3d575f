package control

import (
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestPatience(t *testing.T) {
	gone := errors.New("connection refused")
	stranger := fmt.Errorf("dial manager: %w", x509.UnknownAuthorityError{})
	p := Patience{Gone: time.Hour, OtherAuthority: time.Minute}
	for _, c := range []struct {
		p     Patience
		alone time.Duration
		err   error
		want  bool
	}{
		{p, 59 * time.Minute, gone, false},
		{p, time.Hour, gone, true},
		{p, 59 * time.Second, stranger, false},
		{p, time.Minute, stranger, true},
		{Patience{}, 1000 * time.Hour, gone, false},
		{Patience{}, 1000 * time.Hour, stranger, false},
	} {
		if got := c.p.exceeded(c.alone, c.err); got != c.want {
			t.Errorf("%+v after %v of %q: %v, want %v", c.p, c.alone, c.err, got, c.want)
		}
	}
}
