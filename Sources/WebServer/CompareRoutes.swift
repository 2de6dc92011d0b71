internal import Execution
internal import Hummingbird
internal import Model
internal import WireAPI

/// How two releases differ, of one service or of two.
enum CompareRoutes {
    static func add(to router: Router<PeerContext>, _ controller: Controller) {
        router.post("v1/compare") { request, _ in
            let order = try await Coding.body(CompareRequest.self, of: request)
            let found = try await controller.compare(
                order.from.key, order.from.release, with: order.to.key, order.to.release)
            return try Coding.answer(
                CompareAnswer(from: found.from.answer, to: found.to.answer, changes: found.changes))
        }
    }
}

extension ReleaseSide {
    fileprivate var answer: CompareAnswer.Side {
        CompareAnswer.Side(key: key, release: release, image: image)
    }
}
