import Model
import Testing

@testable import GateClient

@Suite struct PrometheusQueryTests {
    private func ask(
        _ site: WebSite, _ query: String = "up", least: Int? = nil, most: Int? = nil
    ) async throws -> String {
        let metric = MetricQuery(server: site.url, query: query, least: least, most: most)
        let check = try GateCheck.of(.query(metric))
        let text = try await withGates { await $0.ask(check).text }
        return text.replacing(site.url, with: "SERVER")
    }

    private func success(_ type: String, _ result: String) -> WebSite.Answer {
        .text(200, #"{"status":"success","data":{"resultType":"\#(type)","result":\#(result)}}"#)
    }

    private func vector(_ values: String...) -> WebSite.Answer {
        success(
            "vector",
            "["
                + values.map { #"{"metric":{"job":"a"},"value":[1435781451.781,"\#($0)"]}"# }.joined(
                    separator: ",")
                + "]")
    }

    @Test func `the query goes to the instant-query path, whatever characters it has`() async throws {
        let site = try await WebSite(success("scalar", #"[1435781451.781,"0.5"]"#))
        #expect(
            try await ask(site, #"sum(rate(x{a="b&c"}[5m])) + 1"#, most: 500)
                == #"passed: sum(rate(x{a="b&c"}[5m])) + 1 at SERVER is 0.5"#)
        #expect(
            site.asked[0].uri
                == "/api/v1/query?query=sum%28rate%28x%7Ba%3D%22b%26c%22%7D%5B5m%5D%29%29%20%2B%201")
    }

    @Test(
        arguments: [
            ("5", nil, 5000, "passed: up at SERVER is 5.0"),
            ("5.001", nil, 5000, "failed: up at SERVER is 5.001; at most 5.0 is allowed"),
            ("1.5e-05", 0, nil, "passed: up at SERVER is 1.5e-05"),
            ("-1", 0, nil, "failed: up at SERVER is -1.0; at least 0.0 is allowed"),
            ("+Inf", nil, 5000, "failed: up at SERVER is inf; at most 5.0 is allowed"),
            ("-Inf", 5000, nil, "failed: up at SERVER is -inf; at least 5.0 is allowed"),
            ("NaN", 0, 5000, "unanswered: up at SERVER is not a number"),
        ] as [(String, Int?, Int?, String)])
    func `a value is held against its bounds`(
        _ value: String, _ least: Int?, _ most: Int?, _ said: String
    ) async throws {
        let site = try await WebSite(vector(value))
        #expect(try await ask(site, least: least, most: most) == said)
    }

    @Test func `what is not one value is no answer`() async throws {
        let many = try await WebSite(vector("1", "2"))
        #expect(
            try await ask(many)
                == "unanswered: up at SERVER gives 2 values; one is needed, such as sum() gives")
        let none = try await WebSite(vector())
        #expect(try await ask(none) == "unanswered: up at SERVER has no data")
        let matrix = try await WebSite(success("matrix", "[]"))
        #expect(try await ask(matrix).hasPrefix("unanswered: SERVER answered 200, with "))
        let wrong = try await WebSite(
            .text(400, #"{"status":"error","errorType":"bad_data","error":"unexpected end of input"}"#))
        #expect(try await ask(wrong) == "unanswered: SERVER: unexpected end of input")
        let page = try await WebSite(.text(502, "<html>"))
        #expect(try await ask(page) == "unanswered: SERVER answered 502, with \"<html>\"")
    }
}
