// Package license checks the license of a cluster offline. A license is a JWT
// (RFC 7519), signed with EdDSA over Ed25519 (RFC 8037) or RS256 (RFC 7518). It
// names the cluster, the licensee and the expiry date.
//
//	Secret ─ mounted file ─ Checker ─ Report ─┬─ Metrics            every replica
//	                                          └─ Admit ─ Publisher  the leader: ConfigMap, Events
//
// The claims exp and sub are required. Either aud or cluster must contain the
// cluster's id, which is the UID of its namespace kube-system. The claim nbf is
// checked. The claim iat is only shown.
//
// A problem with the license, its key or its file never stops the
// traffic-manager. It is only reported. A license that cannot be checked is not
// valid.
package license
