internal import AsyncHTTPClient
internal import Model

/// Requests like those of visitors. What they are answered is for the router to count, and says nothing here.
extension GateClient {
    func visit(_ path: String, _ count: Int, _ check: GateCheck) async -> GateAnswer {
        guard let target = check.targets.first else { return .unanswered(reason: "nothing is routed yet") }
        let timeout = min(patience.answer, check.gate.timeout)
        let answered = await withTaskGroup { group in
            for first in 0..<min(count, Limit.visitsAtOnce) {
                group.addTask {
                    var answered = 0
                    for _ in stride(from: first, to: count, by: Limit.visitsAtOnce) {
                        let request = HTTPClientRequest(url: "http://\(target)\(path)")
                        let reply = try? await exchange(request, timeout: timeout, reading: Limit.page)
                        if reply != nil { answered += 1 }
                    }
                    return answered
                }
            }
            return await group.reduce(0, +)
        }
        return .passed(detail: "\(answered) of \(counted(count, "request")) answered")
    }
}
