// Package intercept makes an intercept for a command: it resolves the workload and its
// ports, names and writes the Intercept object, and waits until traffic arrives on this
// machine.
package intercept
