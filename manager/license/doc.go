// Package license checks the license of a cluster offline: a JWT (RFC 7519),
// signed with EdDSA over Ed25519 (RFC 8037) or RS256 (RFC 7518), that names
// the cluster, who it is for and when it ends.
//
//	Secret ─ mounted file ─ Keeper ─ Report ─┬─ Admit      every replica
//	                                         ├─ Metrics    every replica
//	                                         └─ Publisher  the leader: ConfigMap, Events
//
// Claims: exp and sub are required; the cluster's id, the UID of its namespace
// kube-system, is in aud or in cluster; nbf counts, iat is only shown.
//
// Nothing here stops the traffic-manager: what is wrong with a license, its
// key or its file is a state. A license that cannot be checked counts as none.
package license
