use super::*;

/// Prints what each faulty text gives, for the table below.
#[test]
fn look() {
    let list = std::fs::read_to_string("/tmp/exp-settings/list").unwrap();
    for line in list.lines() {
        let text: String = serde_json::from_str(line).unwrap();
        println!("    case({line},\n         &[");
        match Settings::parse(&text, Path::new("f")) {
            Ok(_) => println!("   !!!!! OK"),
            Err(e) => {
                for l in e.to_string().lines() {
                    println!("        {l}")
                }
            }
        }
    }
}
