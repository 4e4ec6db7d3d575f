// Package socket looks at what has arrived on connections, and leaves it there.
package socket
