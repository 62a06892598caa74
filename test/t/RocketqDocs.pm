# RocketqDocs.pm -- the contents of the documentation, for the tests that check
# it.
#
# The pages are README.md and sql/doc/*.md.  A fenced block on them is either run,
# in the language that its fence names, or is what psql shows of the SQL block
# before it ("text").
package RocketqDocs;

use strict;
use warnings;

use Exporter 'import';
use File::Basename;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(rq_doc_pages rq_doc_way rq_doc_page rq_doc_blocks rq_doc_table);

my $top = dirname(__FILE__) . '/../..';

# The names of all pages, the README first.
sub rq_doc_pages
{
	return ('README.md', map { 'sql/doc/' . basename($_) } sort glob "$top/sql/doc/*.md");
}

sub rq_doc_page
{
	my ($page) = @_;
	return slurp_file("$top/$page");
}

# The pages in reading order: the README, then those in sql/doc by their "next"
# links.
sub rq_doc_way
{
	my @way = ('README.md');
	my $page = 'concepts.md';

	while (defined $page)
	{
		push @way, "sql/doc/$page";
		($page) = rq_doc_page($way[-1]) =~ /^\[Index\].*\bnext: \[[^\]]+\]\(([^)]+)\)/m;
	}
	return @way;
}

# The fenced blocks of a page, in order: language, text, and the line at which
# each begins.
sub rq_doc_blocks
{
	my ($page) = @_;
	my $text = rq_doc_page($page);
	my @blocks;

	while ($text =~ /^```(\w*)\n(.*?)^```\n/msg)
	{
		my ($language, $code, $from) = ($1, $2, $-[0]);
		my $line = 1 + (substr($text, 0, $from) =~ tr/\n//);
		push @blocks, { language => $language, code => $code, line => $line };
	}
	return @blocks;
}

# The rows of the table below a heading of a page, each a list of its cells without
# backquotes; the heading of the table is left out.
sub rq_doc_table
{
	my ($page, $heading) = @_;
	my ($table) = rq_doc_page($page) =~ /^#+ \Q$heading\E\n(?:(?!#).*\n)*?\|.*\n\|-.*\n((?:\|.*\n)+)/m
	  or die "no table below \"$heading\" in $page\n";

	return map { [ map { s/^`(.*)`$/$1/r } split /\s*(?<!\\)\|\s*/, s/^\|\s*//r ] } split /\n/, $table;
}

1;
