// Package kubetest has a kubeconfig for tests of what reads one.
package kubetest

// Kubeconfig has two contexts of one server, of which the second names a namespace.
const Kubeconfig = `
apiVersion: v1
kind: Config
current-context: one
clusters: [{name: c, cluster: {server: "https://198.51.100.1:6443"}}]
users: [{name: alice, user: {}}]
contexts:
- {name: one, context: {cluster: c, user: alice}}
- {name: other, context: {cluster: c, user: alice, namespace: shop}}
`
