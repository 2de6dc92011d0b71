import Testing

@testable import Model

@Suite struct SocketAddressTests {
    @Test(
        arguments: [
            "127.0.0.1:8000", "0.0.0.0:1", "255.255.255.255:65535", "*:80", "[::]:80", "[::1]:80",
            "[fe80::1:2]:80",
            "[1:2:3:4:5:6:7:8]:80", "[::ffff:10.0.0.1]:80", "[1:2:3:4:5:6:7::]:80",
        ])
    func `an address reads back what it writes`(_ text: String) throws {
        #expect(try SocketAddress(parsing: text).description == text)
    }

    @Test(
        arguments: [
            "", ":80", "80", "localhost:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
            "127.0.0.1:+80", "127.0.0.1:-80", "127.0.0.01:80", "127.0.0.-0:80", "256.0.0.1:80", "1.2.3:80",
            "1.2.3.4.5:80", "::1:80", "[::1]", "[]:80", "[:]:80", "[:::]:80", "[::1::2]:80", "[1:2:3]:80",
            "[1:2:3:4:5:6:7:8:9]:80", "[12345::]:80", "[g::]:80", "[:1:2:3:4:5:6:7]:80", "[1.2.3.4::]:80",
            "[Ａ::]:80", "*:80 ", "**:80",
        ])
    func `what is not an address and port is refused`(_ text: String) {
        #expect(throws: Failure.self) { try SocketAddress(parsing: text) }
    }
}
