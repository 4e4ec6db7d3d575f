package skew

import "testing"

func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		version, other string
		fit            Fit
		older          bool
	}{
		{"0.1.0", "0.1.0", Same, false},
		{"0.1.0", "0.1.1", Compatible, true},
		{"0.1.1", "0.1.0", Compatible, false},
		{"0.1.9", "0.2.0", Incompatible, true},
		{"1.2.0", "1.9.3", Compatible, true},
		{"2.0.0", "1.9.3", Incompatible, false},
		{"0.1.0-rc.1", "0.1.0", Compatible, true},
		{"unknown", "0.1.0", Unknown, false},
		{"0.1.0", "", Unknown, false},
	} {
		if fit, older := Compare(tt.version, tt.other); fit != tt.fit || older != tt.older {
			t.Errorf("%s and %s: %d, older %t", tt.version, tt.other, fit, older)
		}
	}
}
