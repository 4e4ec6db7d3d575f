package license

import "flag"

// Options are the license settings of the chart. The zero value means that there is
// no license and that none is required.
type Options struct {
	// File is the path of the license in a mounted Secret. The file need not exist.
	File string
	// Secret is the name of the Secret that File comes from. It is used in messages
	// and may be empty.
	Secret string
	// PublicKey is the text of the public key, as ParsePublicKey reads it.
	PublicKey string
	// Required says that personal intercepts need a license.
	Required bool
}

// AddFlags adds the traffic-manager's flags for these options.
func (o *Options) AddFlags(f *flag.FlagSet) {
	f.StringVar(&o.File, "license-file", "", "file with the license, a signed JWT; read again when it changes")
	f.StringVar(&o.Secret, "license-secret", "", "name of the Secret that the file comes from, for messages")
	f.StringVar(&o.PublicKey, "license-public-key", "", "key that licenses are checked with: PEM, or base64 of DER")
	f.BoolVar(&o.Required, "license-required", false, "personal intercepts need a license")
}
