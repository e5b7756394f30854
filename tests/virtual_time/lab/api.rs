//! The ELBv2 API of the lab: accepted and refused calls, stored values, throttling.

use super::common::{at, elb_call, groups, modify, routes, send_requests, world, xml_texts};

#[test]
fn the_reference_case_has_36_actions_over_three_groups() {
    let mut world = world("{}");
    let routes = routes(&mut world, at(0));
    assert_eq!(routes.len(), 36);
    let (_, xml) = elb_call(&mut world, &format!("Action=DescribeRules&RuleArns.member.1={}", routes[1].0), at(0));
    assert_eq!(xml_texts(&xml, "Weight"), ["100", "0", "0"]);
    assert!(xml.contains("<member>/api_internal*</member>"), "{xml}");
    assert_eq!(send_requests(&mut world, 360, at(1)), [360, 0, 0]);
}

#[test]
fn modifies_are_throttled_after_twenty_and_recover_at_three_a_second() {
    let mut world = world("{}");
    let [a, b, other] = groups(&mut world, at(0));
    let route = routes(&mut world, at(0)).remove(1);
    let form = modify(&route, &[(&a, 100), (&b, 0), (&other, 0)], "");
    let mut burst = |now| (0..40).filter(|_| elb_call(&mut world, &form, now).0 == 200).count();
    assert_eq!(burst(at(10)), 20);
    assert_eq!(burst(at(12)), 6);
    let (status, xml) = elb_call(&mut world, &form, at(12));
    assert!(status == 400 && xml.contains("<Code>Throttling</Code>"), "{xml}");
}

#[test]
fn actions_that_elbv2_refuses_are_refused_with_its_codes() {
    let mut world = world("{limits: {modify: {burst: 100, perSecond: 100}}}");
    let [a, b, other] = groups(&mut world, at(0));
    let routes = routes(&mut world, at(0));
    let unknown = a.replace("alpha-webapp-a", "nobody");
    let six = [(a.as_str(), 1); 6];
    let rule = &routes[1];
    for (form, code) in [
        (modify(rule, &[(&a, 1000), (&b, 0)], ""), "ValidationError"),
        (modify(rule, &[(&a, 0), (&b, 0)], ""), "ValidationError"),
        (modify(rule, &[(&a, 1), (&a, 1)], ""), "ValidationError"),
        (modify(rule, &six, ""), "TooManyTargetGroups"),
        (modify(rule, &[(&unknown, 1), (&b, 0)], ""), "TargetGroupNotFound"),
        (
            modify(rule, &[(&a, 1), (&b, 0)], "&PREFIX.ForwardConfig.TargetGroupStickinessConfig.Enabled=true"),
            "ValidationError",
        ),
        (modify(&(rule.0.replace("rule", "rules"), false), &[(&a, 1), (&b, 0)], ""), "RuleNotFound"),
        (modify(rule, &[(&a, 1), (&b, 0)], "&Actions.member.2.Type=fixed-response"), "ValidationError"),
    ] {
        let (status, xml) = elb_call(&mut world, &form, at(1));
        assert!(status == 400 && xml_texts(&xml, "Code") == [code], "{form}\n{xml}");
    }
    let (_, xml) = elb_call(&mut world, &format!("Action=DescribeRules&ListenerArn={}", routes[0].0), at(1));
    let default = xml_texts(&xml, "RuleArn").pop().expect("a listener should have a default rule");
    let (_, xml) = elb_call(&mut world, &modify(&(default, false), &[(&a, 1), (&b, 0)], ""), at(1));
    assert_eq!(xml_texts(&xml, "Code"), ["OperationNotPermitted"]);
    let (_, xml) = elb_call(&mut world, &format!("Action=DescribeRules&RuleArns.member.1={}", rule.0), at(1));
    assert_eq!(xml_texts(&xml, "TargetGroupArn"), [a, b, other], "refused calls must change nothing");
}

#[test]
fn unknown_fields_are_stored_and_client_secrets_are_never_returned() {
    let mut world = world("{}");
    let [a, b, _] = groups(&mut world, at(0));
    let route = routes(&mut world, at(0)).remove(20);
    assert!(!route.1);
    let two = "&PREFIX.Order=2&PREFIX.QuantumConfig.Spin=up&Actions.member.2.Type=authenticate-oidc&Actions.member.2.Order=1\
               &Actions.member.2.AuthenticateOidcConfig.ClientId=me&Actions.member.2.AuthenticateOidcConfig.";
    let (status, xml) =
        elb_call(&mut world, &modify(&route, &[(&a, 1), (&b, 0)], &format!("{two}ClientSecret=hush")), at(1));
    assert_eq!(status, 200, "{xml}");
    let (status, xml) = elb_call(
        &mut world,
        &modify(&route, &[(&a, 2), (&b, 1)], &format!("{two}UseExistingClientSecret=true")),
        at(2),
    );
    assert!(status == 200 && xml.contains("<QuantumConfig><Spin>up</Spin></QuantumConfig>"), "{xml}");
    assert!(xml.contains("<ClientId>me</ClientId>") && !xml.contains("hush") && !xml.contains("Secret"), "{xml}");
    assert_eq!(xml_texts(&xml, "Order"), ["1", "2"]);
}
