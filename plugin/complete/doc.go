// Package complete finds the words with which a shell can go on: it reads the kubeconfig
// and asks the cluster, for a second at most. It prints nothing and starts nothing.
package complete
