package postgres

import (
	"crypto/tls"
	"errors"
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
	// Control, not Read: after a slow write the driver may have a read of its own open.
	err = raw.Control(func(fd uintptr) {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errors.Is(err, syscall.EAGAIN)
	})
	return err == nil && quiet || readable(c)
}
