import Testing

@testable import ImageFormat

struct JavaKeyStoreTests {
    @Test func `a store without certificates is its head and the sum of it`() {
        let bytes = JavaKeyStore.trusting([], madeAt: 0)
        #expect(Array(bytes.prefix(12)) == [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 0])
        // What keytool 17 writes for an empty store with this password.
        #expect(
            bytes.dropFirst(12).map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
                == "e268 6e45 fb43 df a4 d9 92 dd 41 ce b6 b2 1c 63 30 d7 92".filter { $0 != " " })
    }

    @Test func `an entry has its kind, its alias, its date and its certificate`() {
        let bytes = JavaKeyStore.trusting([(alias: "a", der: [1, 2, 3])], madeAt: 1)
        #expect(
            Array(bytes.dropFirst(8).dropLast(20))
                == [0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0x61, 0, 0, 0, 0, 0, 0, 3, 0xe8, 0, 5] + Array("X.509".utf8)
                + [
                    0, 0, 0, 3, 1, 2, 3,
                ])
    }
}
