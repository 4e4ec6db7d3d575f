// Package socket is the protocol between commands and the session process: the HTTP
// requests and answers on the process's unix socket.
package socket
