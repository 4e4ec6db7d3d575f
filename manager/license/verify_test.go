package license

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	api "github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
)

func TestVerify(t *testing.T) {
	ed, rs, other := newEd25519(t), newRSA(t, 2048), newEd25519(t)
	token := ed.sign(t, good())
	confused, err := jwt.NewWithClaims(jwt.SigningMethodHS256, good()).SignedString(ed.der(t))
	if err != nil {
		t.Fatal(err)
	}
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, good()).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	forged := strings.Join([]string{parts[0], strings.Split(other.sign(t, with(jwt.MapClaims{"sub": "eve"})), ".")[1], parts[2]}, ".")
	for name, test := range map[string]struct {
		key   signer
		token string
		err   string
	}{
		"EdDSA":                    {ed, token, ""},
		"with a line end":          {ed, token + "\n", ""},
		"RS256":                    {rs, rs.sign(t, good()), ""},
		"another key":              {other, token, "the signature is not one that license.publicKey, for EdDSA, belongs to"},
		"another kind of key":      {rs, token, "for RS256"},
		"other claims":             {ed, forged, "the signature is not one"},
		"signed with the key":      {ed, confused, "the signature is not one"},
		"not signed":               {ed, unsigned, "the signature is not one"},
		"RS512":                    {rs, signer{jwt.SigningMethodRS512, rs.private}.sign(t, good()), "the signature is not one"},
		"no token":                 {ed, "hello", "it is not a signed JWT"},
		"without an end":           {ed, ed.sign(t, with(jwt.MapClaims{"exp": nil})), "no claim exp"},
		"without a subject":        {ed, ed.sign(t, with(jwt.MapClaims{"sub": nil})), "no claim sub"},
		"without a cluster":        {ed, ed.sign(t, with(jwt.MapClaims{"aud": nil})), "neither claim aud nor cluster"},
		"with an empty cluster":    {ed, ed.sign(t, with(jwt.MapClaims{"aud": nil, "cluster": ""})), "neither claim aud nor cluster"},
		"with an end that is none": {ed, ed.sign(t, with(jwt.MapClaims{"exp": "soon"})), "it is not a signed JWT"},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := ParsePublicKey(test.key.pem(t))
			if err != nil {
				t.Fatal(err)
			}
			l, err := verify(test.token, key)
			switch {
			case test.err == "" && err != nil:
				t.Fatal(err)
			case test.err == "" && l.Subject != "acme":
				t.Errorf("subject %q", l.Subject)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Fatalf("got %v, want an error with %q", err, test.err)
			case test.err != "" && l != nil:
				t.Error("a license and an error")
			}
		})
	}
}

func TestJudge(t *testing.T) {
	ed := newEd25519(t)
	key, err := ParsePublicKey(ed.pem(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		claims  jwt.MapClaims
		cluster string
		state   api.State
		message string
	}{
		"holds":                         {good(), here, api.Valid, ""},
		"the cluster in its own claim":  {with(jwt.MapClaims{"aud": nil, "cluster": here}), here, api.Valid, ""},
		"an audience beside":            {with(jwt.MapClaims{"aud": "kubectl-intercept", "cluster": here}), here, api.Valid, ""},
		"one of several clusters":       {with(jwt.MapClaims{"aud": []string{"other", here}}), here, api.Valid, ""},
		"the last second":               {with(jwt.MapClaims{"exp": noon.Unix() + 1}), here, api.Valid, ""},
		"the end":                       {with(jwt.MapClaims{"exp": noon.Unix()}), here, api.Expired, "expired on 2026-12-01 12:00 UTC"},
		"long over":                     {with(jwt.MapClaims{"exp": noon.AddDate(-1, 0, 0).Unix()}), here, api.Expired, "expired on 2025-12-01"},
		"another cluster":               {with(jwt.MapClaims{"aud": "there"}), here, api.OtherCluster, "for cluster there, this is " + here},
		"another cluster, and expired":  {with(jwt.MapClaims{"aud": "there", "exp": noon.Unix()}), here, api.OtherCluster, ""},
		"begins now":                    {with(jwt.MapClaims{"nbf": noon.Unix()}), here, api.Valid, ""},
		"begins later":                  {with(jwt.MapClaims{"nbf": noon.AddDate(0, 0, 1).Unix()}), here, api.Invalid, "valid from 2026-12-02 12:00 UTC on"},
		"issued by a clock that leads":  {with(jwt.MapClaims{"iat": noon.Unix() + 60}), here, api.Valid, ""},
		"in a cluster that is not read": {good(), "", api.Invalid, "the id of this cluster is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := verify(ed.sign(t, test.claims), key)
			if err != nil {
				t.Fatal(err)
			}
			r := l.stateIn(test.cluster, noon)
			if r.State != test.state || !strings.Contains(r.Message, test.message) || (r.Message == "") != (r.State == api.Valid) {
				t.Errorf("%s: %q", r.State, r.Message)
			}
			if r.Subject != "acme" || r.Algorithm != "EdDSA" || r.ValidUntil == nil {
				t.Errorf("the report lacks what the license says: %+v", r)
			}
		})
	}
}

// A license that ends does so without being read again.
func TestTimeGoesOn(t *testing.T) {
	ed := newEd25519(t)
	key, err := ParsePublicKey(ed.pem(t))
	if err != nil {
		t.Fatal(err)
	}
	l, err := verify(ed.sign(t, good()), key)
	if err != nil {
		t.Fatal(err)
	}
	end := noon.AddDate(0, 1, 0)
	for now, want := range map[time.Time]api.State{noon: api.Valid, end.Add(-time.Second): api.Valid, end: api.Expired} {
		if got := l.stateIn(here, now).State; got != want {
			t.Errorf("at %s: %s", now, got)
		}
	}
}

func TestAdmit(t *testing.T) {
	for name, test := range map[string]struct {
		report api.Report
		err    string
	}{
		"valid and required":         {api.Report{State: api.Valid, Required: true}, ""},
		"valid":                      {api.Report{State: api.Valid}, ""},
		"absent":                     {api.Report{State: api.Absent}, ""},
		"expired":                    {api.Report{State: api.Expired, Message: "the license expired"}, ""},
		"invalid":                    {api.Report{State: api.Invalid, Message: "no"}, ""},
		"absent but required":        {api.Report{State: api.Absent, Required: true}, "and there is none; an administrator"},
		"expired but required":       {api.Report{State: api.Expired, Required: true, Message: "the license expired on 2026-01-01"}, "and the license expired on 2026-01-01; an administrator"},
		"elsewhere but required":     {api.Report{State: api.OtherCluster, Required: true, Message: "the license is for cluster a"}, "and the license is for cluster a;"},
		"invalid but required":       {api.Report{State: api.Invalid, Required: true, Message: "it is not a signed JWT"}, "it is not a signed JWT"},
		"nothing known but required": {api.Report{Required: true}, "there is none"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Admit(test.report)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("got %v, want %q", err, test.err)
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	ed, other := newEd25519(f), newEd25519(f)
	f.Add(other.sign(f, good()))
	f.Add("a.b.c")
	key := ed.private.Public()
	f.Fuzz(func(t *testing.T, token string) {
		if l, err := verify(token, key); l != nil || err == nil {
			t.Errorf("%q is a license", token)
		}
	})
}
