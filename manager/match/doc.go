// Package match decides which HTTP requests an intercept takes: it holds the conditions of
// an intercept, finds those that a request meets, and says whether two intercepts can
// take the same request. Plugin, traffic-manager and agent share it, so that they agree.
package match
