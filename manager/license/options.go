package license

import "flag"

// Options is what the chart says about the license. The zero value means that
// there is none and none is needed.
type Options struct {
	// File holds the license; a mounted Secret. It need not exist.
	File string
	// Secret is the name of the Secret that File comes from; empty if nobody says.
	Secret string
	// PublicKey is the key itself; see ParsePublicKey.
	PublicKey string
	// Required says that personal intercepts need a license.
	Required bool
}

// AddFlags adds the flags of the traffic-manager.
func (o *Options) AddFlags(f *flag.FlagSet) {
	f.StringVar(&o.File, "license-file", "", "file with the license, a signed JWT; read again when it changes")
	f.StringVar(&o.Secret, "license-secret", "", "name of the Secret that the file comes from, for messages")
	f.StringVar(&o.PublicKey, "license-public-key", "", "key that licenses are checked with: PEM, or base64 of DER")
	f.BoolVar(&o.Required, "license-required", false, "personal intercepts need a license")
}
