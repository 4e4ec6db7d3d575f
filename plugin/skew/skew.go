// Package skew compares the versions of the product's parts, and says which of them to
// upgrade.
package skew

import (
	utilversion "k8s.io/apimachinery/pkg/util/version"
)

// Fit says how two versions go together.
type Fit int

// From best to worst. Before 1.0, a new minor version may be incompatible; after that, only
// a new major version.
const (
	Same Fit = iota
	Compatible
	Incompatible
	Unknown // one of them is no version
)

// What brings a part to the version of another one.
const (
	UpgradeManager = "kubectl intercept upgrade"
	UpgradePlugin  = "kubectl krew upgrade intercept"
)

// Compare compares a version with another one. Older says that it is the older of both.
func Compare(version, other string) (fit Fit, older bool) {
	v, verr := utilversion.ParseSemantic(version)
	o, oerr := utilversion.ParseSemantic(other)
	switch {
	case verr != nil || oerr != nil:
		return Unknown, false
	case v.Major() != o.Major() || v.Major() == 0 && v.Minor() != o.Minor():
		return Incompatible, v.LessThan(o)
	case version != other:
		return Compatible, v.LessThan(o)
	}
	return Same, false
}
