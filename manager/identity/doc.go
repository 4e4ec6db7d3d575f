// Package identity decides whether a Session is its user's. The name and the groups in a
// Session are true because the release's ValidatingAdmissionPolicies keep everybody from making
// one with other names and groups. So the traffic-manager believes no Session unless these
// policies are in force, unless they were when the API server admitted it, and unless that is
// not long ago.
package identity
