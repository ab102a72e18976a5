package postgres

import (
	"crypto/tls"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// alive says whether the server still has the connection open. It looks at what the
// socket has received and waits for nothing: CheckConn, which reads what is there,
// waits a millisecond where there is nothing, before every statement.
func alive(c *pgconn.PgConn) bool {
	conn := c.Conn()
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return readable(c)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return readable(c)
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN
		return true
	})
	return err == nil && quiet || readable(c)
}
