package license

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	api "github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
)

// maxSize is the maximum size of the license file in bytes.
const maxSize = 64 << 10

// claims are the claims of the JWT.
type claims struct {
	Cluster string `json:"cluster,omitempty"`
	jwt.RegisteredClaims
}

// license is a license with a good signature.
type license struct {
	claims
	algorithm string
}

// verify checks the signature and reads the claims. It does not check the license's
// dates and cluster. The method stateIn does that for each report, because the result
// changes with time.
func verify(token string, key crypto.PublicKey) (*license, error) {
	method := jwt.SigningMethodRS256.Alg()
	if _, ok := key.(ed25519.PublicKey); ok {
		method = jwt.SigningMethodEdDSA.Alg()
	}
	l := &license{algorithm: method}
	// The type of the key determines the signing method. The token must not choose it.
	parser := jwt.NewParser(jwt.WithValidMethods([]string{method}), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(strings.TrimSpace(token), &l.claims, func(*jwt.Token) (any, error) { return key, nil })
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return nil, errors.New("the file is no license: it is not a signed JWT")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return nil, fmt.Errorf("the signature is not one that license.publicKey, for %s, belongs to", method)
	case err != nil:
		return nil, fmt.Errorf("the license cannot be read: %w", err)
	case l.ExpiresAt == nil:
		return nil, errors.New("the license does not say when it ends: it has no claim exp")
	case l.Subject == "":
		return nil, errors.New("the license does not say who it is for: it has no claim sub")
	case len(l.clusters()) == 0:
		return nil, errors.New("the license does not say which cluster it is for: it has neither claim aud nor cluster")
	}
	return l, nil
}

// clusters returns the ids of the clusters that the license is for.
func (l *license) clusters() []string {
	ids := slices.Clone([]string(l.Audience))
	if l.Cluster != "" && !slices.Contains(ids, l.Cluster) {
		ids = append(ids, l.Cluster)
	}
	return slices.DeleteFunc(ids, func(id string) bool { return id == "" })
}

// stateIn returns the state of a license in a cluster at a time.
func (l *license) stateIn(cluster string, now time.Time) api.Report {
	r := api.Report{State: api.Valid, Cluster: cluster, Subject: l.Subject, Licensed: l.clusters(), Algorithm: l.algorithm,
		ValidUntil: moment(l.ExpiresAt), NotBefore: moment(l.NotBefore), IssuedAt: moment(l.IssuedAt)}
	switch {
	case cluster == "":
		r.State, r.Message = api.Invalid, "the id of this cluster is not known"
	case !slices.Contains(r.Licensed, cluster):
		r.State, r.Message = api.OtherCluster, fmt.Sprintf("the license is for cluster %s, this is %s", strings.Join(r.Licensed, ", "), cluster)
	case !now.Before(l.ExpiresAt.Time):
		r.State, r.Message = api.Expired, "the license expired on "+api.Time(l.ExpiresAt.Time)
	case l.NotBefore != nil && now.Before(l.NotBefore.Time):
		r.State, r.Message = api.Invalid, "the license is valid from "+api.Time(l.NotBefore.Time)+" on"
	}
	return r
}

func moment(d *jwt.NumericDate) *time.Time {
	if d == nil {
		return nil
	}
	t := d.UTC()
	return &t
}
