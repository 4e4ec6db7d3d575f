// Package volume is what session and agent say to each other about the files of a
// container's volumes, beside SFTP.
//
// SFTP has one request for one thing: a folder of 10,000 files takes 100 round trips to list
// and 30,000 requests to read. So the agent answers to a second protocol too, the bulk
// protocol. The client's first byte on a stream says which of the two the stream speaks: Bulk,
// or 0, with which every SFTP conversation begins. Requests are answered in their order.
//
// In SFTP, the attributes that it has no room for are an extended attribute (AttrName), and
// errors that it has no code for are in the text (ErrorText).
package volume
