package postgrestest

import "encoding/binary"

// frame is one message of the Postgres protocol: its type and the beginning of its body.
type frame struct {
	kind byte
	head []byte
}

// headLimit is how much of a body a frame keeps: enough for the first words of a statement.
const headLimit = 160

// framer cuts a byte stream, in whatever pieces it comes, into messages. The stream begins after the start-up message.
type framer struct {
	header [5]byte
	have   int
	left   int
	head   []byte
}

// feed returns the messages that end in this piece.
func (f *framer) feed(piece []byte) []frame {
	var frames []frame
	for len(piece) > 0 {
		if f.have < 5 {
			n := copy(f.header[f.have:], piece)
			f.have += n
			piece = piece[n:]
			if f.have < 5 {
				break
			}
			f.left = int(binary.BigEndian.Uint32(f.header[1:])) - 4
			f.head = nil
		}
		n := min(f.left, len(piece))
		if room := headLimit - len(f.head); room > 0 {
			f.head = append(f.head, piece[:min(n, room)]...)
		}
		piece = piece[n:]
		f.left -= n
		if f.left <= 0 {
			frames = append(frames, frame{kind: f.header[0], head: f.head})
			f.have = 0
		}
	}
	return frames
}
