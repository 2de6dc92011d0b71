import RegistryClient
import Testing

@Suite struct UploadPlanTests {
    @Test(arguments: [0, 1, 9, 10, 11, 25, 30], [0, 7, 12])
    func `requests cover a blob once, in order, to its end`(
        size: Int, smallest: Int
    ) {
        var received = 0
        var requests = 0
        while requests < 100 {
            requests += 1
            switch UploadPlan.next(size: size, received: received, smallest: smallest, chunk: 10) {
            case .chunk(let range):
                #expect(range.lowerBound == received && !range.isEmpty)
                #expect(range.count >= max(10, smallest) || range.upperBound == size)
                received = range.upperBound
            case .finish(let range):
                #expect(range.lowerBound == received && range.upperBound == size)
                #expect(requests == 1 || range.isEmpty)
                #expect(requests <= size / max(10, smallest) + 2)
                return
            }
        }
        Issue.record("it never ended")
    }

    @Test(
        arguments: [
            ("0-9", 10), ("bytes=0-9", 10), ("0-0", 0), ("0-99", nil), ("5-9", nil), ("x", nil), ("0-", nil),
            ("0--1", nil), ("", nil), (nil, nil), ("0-99999999999999999999", nil),
        ] as [(String?, Int?)]) func `a Range header says how much a registry has`(
            header: String?, expected: Int?
        )
    {
        #expect(UploadPlan.received(header, size: 50) == expected)
    }

    @Test func `a chunk's range includes both ends`() {
        #expect(UploadPlan.contentRange(0..<10) == "0-9")
        #expect(UploadPlan.contentRange(10..<11) == "10-10")
    }
}
